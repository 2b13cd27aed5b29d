"""Fronts: what stands between a conversation and a person or a program. No front knows another."""
