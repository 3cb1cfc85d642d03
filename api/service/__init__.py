"""What a server does between requests: a durable log of writes, their application, encoders, tasks, measures."""
