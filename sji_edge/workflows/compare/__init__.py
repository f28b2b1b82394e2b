"""Two subjects judged on the same crops, and the parity gate over them."""
