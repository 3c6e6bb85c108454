"""What a request costs over HTTP/3: the edge beside stock aioquic and, where there is one, nginx."""
