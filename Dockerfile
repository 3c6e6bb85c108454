# syntax=docker/dockerfile:1
FROM python:3.11-slim-bookworm AS build
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY edgeproxy edgeproxy
RUN python -m venv /opt/edgeproxy \
    && /opt/edgeproxy/bin/pip install --no-cache-dir --disable-pip-version-check .

FROM python:3.11-slim-bookworm
LABEL org.opencontainers.image.title="edgeproxy" \
      org.opencontainers.image.description="A self-hosted CDN point of presence" \
      org.opencontainers.image.licenses="Apache-2.0"
RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin edgeproxy \
    && install -d -m 0750 -o 10001 -g 10001 /var/lib/edgeproxy
COPY --from=build /opt/edgeproxy /opt/edgeproxy
ENV PATH=/opt/edgeproxy/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 10001:10001
# Configuration and certificates are mounted. All that is written is below the state folder (OCSP
# responses, the control socket) and where `[cache.disk]` says, so the root may be read-only.
# Container runtimes let anybody bind 80 and 443 (net.ipv4.ip_unprivileged_port_start=0).
VOLUME ["/etc/edgeproxy", "/var/lib/edgeproxy"]
EXPOSE 80/tcp 443/tcp
STOPSIGNAL SIGTERM
ENTRYPOINT ["edgeproxy"]
CMD ["serve", "-c", "/etc/edgeproxy/edge.toml"]
