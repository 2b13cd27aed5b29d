"""What a session cost, in words."""

from __future__ import annotations

from qwen_code.models.facts import AS_OF
from qwen_code.models.purse import Spent


def spent_in_words(spent: Spent) -> str:
    """Requests, tokens, the share that the provider still had, and the price."""
    cached = 100 * spent.cached_tokens / spent.prompt_tokens if spent.prompt_tokens else 0
    from_cache = f"{spent.cached_tokens:,} ({cached:.0f} %) from the provider's cache"
    lines = [
        f"Requests:   {spent.requests:,}",
        f"Read:       {spent.prompt_tokens:,} tokens, of which {from_cache}",
        f"Written:    {spent.completion_tokens:,} tokens",
        f"Costs:      {_cost(spent)}",
    ]
    return "\n".join(lines)


def _cost(spent: Spent) -> str:
    if spent.unpriced and spent.unpriced == spent.requests:
        return "not known; set the price of the model in qwen_code.prices of your settings"
    about = f"${spent.usd:.4f} by the prices of {AS_OF}, or as the provider says"
    if spent.unpriced:
        about += f", and {spent.unpriced:,} requests whose price is not known"
    return about
