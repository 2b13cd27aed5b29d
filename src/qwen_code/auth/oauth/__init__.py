"""The OAuth sign-in: device flow, the stored tokens, and keeping them alive."""
