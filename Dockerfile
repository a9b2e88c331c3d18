# syntax=docker/dockerfile:1.7

# One image with all programs, built once and used in every environment. Each service of docker-compose.yml
# names the program that it runs. Without a command, the image runs the whole portal in one process, with its
# data in /data: docker run -p 8080:8080 -v portal:/data news-portal

# The same version as in rust-toolchain.toml, so no other toolchain is downloaded.
FROM rust:1.95.0-slim-bookworm AS chef
WORKDIR /src
RUN cargo install cargo-chef --version 0.1.78 --locked

# The list of dependencies, without the rest of the sources. If it has not changed, the next stage is not
# built again.
FROM chef AS planner
COPY . .
RUN cargo chef prepare --recipe-path recipe.json

FROM chef AS builder
COPY --from=planner /src/recipe.json recipe.json
COPY rust-toolchain.toml ./
RUN cargo chef cook --release --locked --recipe-path recipe.json --features portal/servers \
      --package portal --package users --package news --package orchestrator --package recommendations
COPY . .
RUN cargo build --release --locked --features portal/servers \
      --package portal --package users --package news --package orchestrator --package recommendations \
 && mkdir /out \
 && for program in portal users famous-news politics-news sports-news orchestrator recommendations; do \
      cp "target/release/$program" /out/ || exit 1; \
    done

FROM debian:12.12-slim AS runtime
LABEL org.opencontainers.image.title="News portal" \
      org.opencontainers.image.licenses="Apache-2.0"
RUN groupadd --gid 10001 portal \
 && useradd --uid 10001 --gid portal --no-create-home --home-dir /data --shell /usr/sbin/nologin portal \
 && install --directory --owner portal --group portal --mode 0700 /data
COPY --from=builder /out/ /usr/local/bin/
USER 10001:10001
WORKDIR /data
EXPOSE 8080
# In docker-compose.yml each service has a health check of its own, with its port.
HEALTHCHECK --interval=5s --timeout=4s --start-period=30s --retries=6 \
    CMD ["portal", "healthcheck", "http://127.0.0.1:8080"]
CMD ["portal", "run", "--listen", "0.0.0.0:8080", "--data-dir", "/data"]
