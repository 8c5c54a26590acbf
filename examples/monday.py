# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # It is Monday
#
# A notebook over the small demo company that ships with the library: nothing is loaded from anywhere. Open it with
# jupytext, in an editor that knows `# %%` cells, or run it as a script: `python examples/monday.py`.

# %%
"""It is Monday: a card, notes, two figures and the health check of the demo company, as a notebook."""

import importlib.util

import keyaccount as ka

desk = ka.demo().desk("volker")  # what Volker may read, and nothing else; the demo's clock stands still

# %% [markdown]
# ## The phone rings
#
# A number as the telephone system shows it gives the card: who calls, who looks after them, and what to know first.

# %%
card = desk.caller("+49 89 1234-567")
card

# %% [markdown]
# ## Writing an invoice
#
# The notes for this form. Some are written by colleagues, others computed from what the book holds.

# %%
notes = desk.notes(organisation="acme", context="documents.invoice")
notes

# %% [markdown]
# ## Two figures
#
# A figure holds both sides and the records on each, and says in words what it means.

# %%
recurring = desk.portfolio.recurring(per="year")
recurring

# %%
print(recurring.explain())

# %% [markdown]
# Whom has nobody talked to? Each account has a figure of its own, and `whole` takes them together.

# %%
contact = desk.portfolio.days_since_contact()
contact.whole

# %%
print(contact["acme"].explain())

# %% [markdown]
# ## Which accounts need me this week?
#
# One row for each account, the largest first, with what to do.

# %%
check = desk.health_check()
check

# %%
[(row.name, step.text) for row in check for step in row.to_do]

# %% [markdown]
# ## On with pandas
#
# Every list is a data frame too, where pandas, Polars or PyArrow is installed; without one it is plain data.

# %%
rows = check.to_frame() if importlib.util.find_spec("pandas") else check.to_dict()["rows"]
rows
