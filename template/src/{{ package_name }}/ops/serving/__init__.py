"""Requests and answers: knows training, and nothing of who deploys it."""
