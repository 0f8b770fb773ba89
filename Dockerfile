# The node as an image: docker build -t houndsfield . && docker run -p 11112:11112 -v houndsfield:/data houndsfield

FROM debian:bookworm-slim AS builder
RUN apt-get update && apt-get install --yes --no-install-recommends python3 python3-venv
RUN python3 -m venv /opt/houndsfield
WORKDIR /source
COPY constraints.txt ./
RUN /opt/houndsfield/bin/pip install --no-cache-dir --constraint constraints.txt setuptools
COPY . .
RUN /opt/houndsfield/bin/pip install --no-cache-dir --constraint constraints.txt --only-binary :all: --no-build-isolation .

FROM debian:bookworm-slim
RUN apt-get update && apt-get install --yes --no-install-recommends python3 && rm -rf /var/lib/apt/lists/*
RUN useradd --system --uid 11112 --home-dir /data houndsfield && install --directory --owner houndsfield --group houndsfield /data /models
COPY --from=builder /opt/houndsfield /opt/houndsfield
ENV PATH=/opt/houndsfield/bin:$PATH PYTHONUNBUFFERED=1 ORT_DISABLE_TELEMETRY=1
USER houndsfield
WORKDIR /data
VOLUME ["/data", "/models"]
EXPOSE 11112
HEALTHCHECK --interval=30s --timeout=20s --start-period=60s CMD ["houndsfield", "status", "-c", "/data/houndsfield.toml"]
# /data holds the settings file, written with comments when there is none, and beside it what the node keeps.
CMD ["sh", "-c", "test -e houndsfield.toml || houndsfield config init houndsfield.toml; exec houndsfield serve -c houndsfield.toml"]
