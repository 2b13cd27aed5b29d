"""The OAuth sign-in: device flow, the stored tokens, and their renewal."""
