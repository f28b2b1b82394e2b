"""sji-edge: edge deployment for inline optical inspection of solder joints."""
