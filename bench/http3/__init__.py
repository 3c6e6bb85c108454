"""The cost of requests over HTTP/3, the edge beside stock aioquic and, if there is one, nginx."""
