"""The user's table: reading, checking, encoding."""
