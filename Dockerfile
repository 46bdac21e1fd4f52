# The broker and Kafka's tools on an empty base. It packs what `make build` left; `make image` builds both.
#
#   docker run -v millrace:/var/lib/millrace -p 9092:9092 -e MILLRACE_ADVERTISED_LISTENERS=PLAINTEXT://localhost:9092 millrace
#   docker run --network host --entrypoint /opt/millrace/bin/kafka-topics.sh millrace --bootstrap-server localhost:9092 --list
#
# tools/image-root.sh makes target/image: the programs without their debug information, the libraries they are linked with,
# and the settings. No shell is in it.
FROM scratch
ARG VERSION=0.1.0
LABEL org.opencontainers.image.title="Millrace" \
      org.opencontainers.image.description="Apache Kafka's broker, in Rust" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY target/image/ /
COPY --chown=10001:10001 target/image/var/lib/millrace /var/lib/millrace
# A number, so that Kubernetes can see that it is not root.
USER 10001:10001
ENV PATH=/opt/millrace/bin
WORKDIR /var/lib/millrace
# The one place that is written to; all else may be read-only.
VOLUME /var/lib/millrace
# Clients; metrics and probes.
EXPOSE 9092 9644
STOPSIGNAL SIGTERM
ENTRYPOINT ["/opt/millrace/bin/millrace", "server"]
CMD ["/etc/millrace/server.properties"]
