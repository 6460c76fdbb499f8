# Flow Lab with PyTorch's CPU build, every package checked by its hash.
#   docker build -t flow-lab .
#   docker run --rm -p 127.0.0.1:8501:8501 -v flow-lab-runs:/data flow-lab
FROM python:3.12-slim

ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1 \
    MALLOC_MMAP_THRESHOLD_=65536 MALLOC_ARENA_MAX=2 \
    FLOWLAB_RUNS=/data/runs FLOWLAB_OWN_DATA=/data/own FLOWLAB_IMAGES=/data/images FLOWLAB_LOG=- \
    NUMBA_CACHE_DIR=/data/compiled

RUN useradd --system --create-home --uid 10001 lab && install -d -o 10001 /data
WORKDIR /lab

# First what changes seldom: layers before the code's stay as they are. The small PyTorch is there
# for x86-64 and 64-bit ARM.
COPY tools/locks/torch-cpu.txt tools/locks/app.txt tools/locks/
RUN python -m pip install --require-hashes --no-deps \
        --index-url https://download.pytorch.org/whl/cpu -r tools/locks/torch-cpu.txt \
    && python -m pip install --require-hashes -r tools/locks/app.txt

COPY . .
USER 10001
VOLUME /data
EXPOSE 8501
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8501/_stcore/health', timeout=4)"]
# As `make run`, but on all networks of the container; `-p` says who reaches it from outside.
CMD ["python", "-m", "streamlit", "run", "app.py", "--server.address=0.0.0.0", "--server.port=8501"]
