"""Teach a small network what trained ones answer (Hinton, Vinyals and Dean 2015, arXiv 1503.02531)."""
