# One image for every member of the workspace; run from the checkout:
#   docker build -f deploy/service.Dockerfile --build-arg SERVICE=membership -t covey/membership .
# SERVICE=local gives the image with the covey command: topics, databases, and the mail catcher of compose.yaml.
ARG PYTHON=3.13

FROM python:${PYTHON}-slim AS build
ARG SERVICE
WORKDIR /src
COPY requirements.uv.lock requirements.lock pyproject.toml ./
RUN python -m venv /tools && /tools/bin/pip install --no-cache-dir --require-hashes -r requirements.uv.lock
COPY deploy/requirements_of.py deploy/
COPY libs libs
COPY services services
COPY deploy/local deploy/local
RUN python deploy/requirements_of.py ${SERVICE:?} > /tmp/service.txt \
 && python deploy/requirements_of.py uv-build > /tmp/build.txt \
 && /tools/bin/uv venv /covey \
 && /tools/bin/uv pip install --python /covey --require-hashes --no-deps -r /tmp/service.txt \
 && /tools/bin/uv pip install --python /tools/bin/python --require-hashes --no-deps -r /tmp/build.txt
# The service, and the libraries of ours: built without reaching out for anything.
RUN for member in libs/contracts libs/chassis */${SERVICE}; do \
      PATH="/tools/bin:$PATH" uv build --quiet --wheel --no-build-isolation --offline --python /tools/bin/python --out-dir /wheels "$member"; \
    done \
 && /tools/bin/uv pip install --python /covey --no-deps --offline /wheels/*.whl

FROM python:${PYTHON}-slim
ARG SERVICE
ENV SERVICE=${SERVICE} PATH=/covey/bin:$PATH PYTHONUNBUFFERED=1 COVEY_HTTP_HOST=0.0.0.0 COVEY_HTTP_PORT=8000
COPY --from=build /covey /covey
# By Pango the portal sets what is printed; the others need nothing of the system.
RUN if [ "$SERVICE" = portal ]; then \
      apt-get update && apt-get install -y --no-install-recommends libpango-1.0-0 libpangoft2-1.0-0 fonts-dejavu-core \
      && rm -rf /var/lib/apt/lists/*; \
    fi
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin covey
USER 10001
EXPOSE 8000
HEALTHCHECK --interval=5s --timeout=4s --start-period=30s CMD ["python", "-c", "import os, urllib.request; urllib.request.urlopen(f\"http://127.0.0.1:{os.environ['COVEY_HTTP_PORT']}/livez\")"]
CMD ["sh", "-c", "exec python -m covey_chassis serve covey_${SERVICE}"]
