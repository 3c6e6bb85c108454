"""What happened: counters, the access log, application logging."""
