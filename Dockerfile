# The node as an image: docker build -t houndsfield . && docker run -p 11112:11112 -v houndsfield:/data houndsfield
# For one clinic and for a chain: deploy/.

FROM debian:bookworm-slim AS builder
RUN apt-get update && apt-get install --yes --no-install-recommends python3 python3-venv
RUN python3 -m venv /opt/houndsfield
WORKDIR /source
COPY constraints.txt ./
RUN /opt/houndsfield/bin/pip install --no-cache-dir --constraint constraints.txt setuptools
COPY . .
RUN /opt/houndsfield/bin/pip install --no-cache-dir --constraint constraints.txt --only-binary :all: --no-build-isolation .

FROM debian:bookworm-slim
# tini: the first process of a container has to collect those that others leave behind. postgresql-client: `houndsfield backup`.
RUN apt-get update && apt-get install --yes --no-install-recommends python3 tini postgresql-client && rm -rf /var/lib/apt/lists/*
RUN useradd --system --uid 11112 --home-dir /data houndsfield && install --directory --owner houndsfield --group houndsfield /data /models
COPY --from=builder /opt/houndsfield /opt/houndsfield
ENV PATH=/opt/houndsfield/bin:$PATH PYTHONUNBUFFERED=1 ORT_DISABLE_TELEMETRY=1 \
    HOUNDSFIELD_CONFIG=/data/houndsfield.toml
USER houndsfield
WORKDIR /data
VOLUME ["/data", "/models"]
EXPOSE 11112
HEALTHCHECK --interval=30s --timeout=20s --start-period=60s CMD ["houndsfield", "status"]
# /data holds what the node keeps, and beside it the settings file, written with comments when there is none.
ENTRYPOINT ["tini", "--"]
CMD ["sh", "-c", "test -e \"$HOUNDSFIELD_CONFIG\" || houndsfield config init \"$HOUNDSFIELD_CONFIG\"; exec houndsfield serve"]
