"""The nouns: what a key account manager talks about, as frozen values that check themselves."""
