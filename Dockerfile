# The application and what it needs, by hash; nothing of the tools that built it.
FROM python:3.13-slim-bookworm AS build
WORKDIR /src
COPY requirements.txt requirements-build.txt ./
RUN python -m venv /opt/restante \
 && /opt/restante/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes -r requirements.txt \
 && pip install --no-cache-dir --disable-pip-version-check --root-user-action=ignore --require-hashes -r requirements-build.txt
COPY pyproject.toml README.md LICENSE ./
COPY restante restante
COPY backup backup
COPY restore restore
COPY vault vault
COPY imap imap
RUN pip wheel --no-deps --no-build-isolation --wheel-dir /wheels . \
 && /opt/restante/bin/pip install --no-cache-dir --no-deps --no-index /wheels/*.whl \
 && /opt/restante/bin/pip uninstall --yes pip

FROM python:3.13-slim-bookworm
RUN pip uninstall --yes --root-user-action=ignore pip \
 && useradd --uid 10001 --create-home --home-dir /var/lib/restante --shell /usr/sbin/nologin restante \
 && install --directory --owner=restante --group=restante --mode=0700 /var/lib/restante/cache
COPY --from=build /opt/restante /opt/restante
ENV PATH=/opt/restante/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    XDG_CACHE_HOME=/var/lib/restante/cache
USER 10001:10001
WORKDIR /var/lib/restante
# Only the disposable cache is written, so the rest may be read-only: docker run --read-only -v cache:/var/lib/restante/cache
VOLUME /var/lib/restante/cache
EXPOSE 8321
# It hears SIGTERM, SIGINT and SIGHUP itself, also as the first process of the container, and leaves no child behind.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=60s --timeout=20s --start-period=5m CMD ["restante", "run", "--probe"]
ENTRYPOINT ["restante"]
# Reads /etc/restante/config.yaml.
CMD ["run"]
