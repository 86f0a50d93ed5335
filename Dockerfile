# An image of jobctl; it works unless it is told otherwise. The code of your jobs goes on top of it:
# docs/howto/deploy-on-railway.md shows how.
#
# The base images are named by tag: whoever can ask the registry may pin their digests, and then has to renew them.

# The large image has a C compiler, which hdrhistogram needs where it has no wheel (arm64).
FROM python:3.13 AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /src
RUN ["python", "-m", "venv", "/opt/jobctl"]
# What changes seldom comes first: the requirements, each held to its hash, and with them what builds the wheel.
COPY requirements/runtime.txt requirements/
RUN ["/opt/jobctl/bin/python", "-m", "pip", "install", "--require-hashes", "--requirement", "requirements/runtime.txt"]
COPY LICENSE README.md pyproject.toml ./
COPY src src
COPY loadtests loadtests
COPY monitoring monitoring
RUN ["/opt/jobctl/bin/python", "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", "/dist", "."]
RUN ["/opt/jobctl/bin/python", "-m", "pip", "install", "--no-deps", "--no-index", "--find-links", "/dist", "jobctl"]

FROM python:3.13-slim
LABEL org.opencontainers.image.title="jobctl" \
      org.opencontainers.image.description="RQ workers with many LLM jobs in flight, and the exporter of their metrics" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.base.name="docker.io/library/python:3.13-slim"
RUN ["useradd", "--uid", "10001", "--user-group", "--create-home", "--home-dir", "/app", "jobctl"]
COPY --from=build /opt/jobctl /opt/jobctl
ENV PATH=/opt/jobctl/bin:/usr/local/bin:/usr/bin:/bin PYTHONUNBUFFERED=1
WORKDIR /app
# By number, so that an orchestrator can see that it is not root.
USER 10001:10001
EXPOSE 9100 9200
# PORT where it is set, as on Railway; else the worker's. No proxy is asked, whatever the environment says.
HEALTHCHECK --interval=15s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-IS", "-c", "import http.client as h, os; c = h.HTTPConnection('127.0.0.1', int(os.environ.get('PORT', 9100)), timeout=4); c.request('GET', '/readyz'); raise SystemExit(c.getresponse().status != 200)"]
# Process 1 is jobctl itself: it gets SIGTERM and drains. It starts no processes, so there is nothing to reap.
ENTRYPOINT ["jobctl"]
CMD ["work", "--metrics-port", "9100"]
