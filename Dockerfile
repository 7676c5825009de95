# The bot on its own; the README says how to build and run it.
FROM python:3.12-slim AS build
WORKDIR /build
RUN python -m venv /app
COPY requirements/plots.txt requirements/build.txt requirements/
# With the plotting library, so that reports come with their picture.
RUN /app/bin/pip install --no-cache-dir --require-hashes -r requirements/plots.txt -r requirements/build.txt
COPY . .
RUN /app/bin/pip install --no-cache-dir --no-deps --no-build-isolation . \
    && /app/bin/pip uninstall --yes setuptools pip

FROM python:3.12-slim
# The fonts are for the animatic's captions.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends fonts-dejavu-core \
    && rm -rf /var/lib/apt/lists/*
# The ids are fixed, so that the owner of a mounted volume can be set from outside.
RUN groupadd --gid 10001 gallop \
    && useradd --uid 10001 --gid gallop --no-create-home --home-dir /data gallop \
    && install --directory --owner gallop --group gallop --mode 700 /data
COPY --from=build /app /app
ENV PATH=/app/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    DATA_DIR=/data \
    DATABASE_URL=sqlite:////data/gallop.db \
    HTTP_HOST=0.0.0.0 \
    HTTP_PORT=8080
USER gallop
WORKDIR /data
VOLUME /data
EXPOSE 8080
# Asks the bot's own web server.
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen(f'http://127.0.0.1:{os.environ[\"HTTP_PORT\"]}/healthz', timeout=4)"]
# On SIGTERM the bot waits up to 60 s for open submissions: stop it with `docker stop --time 75`.
CMD ["gallop", "run"]
