"""From a stream to a pool of joints."""
