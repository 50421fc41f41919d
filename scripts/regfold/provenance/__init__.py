"""What a result depends on, as digests."""
