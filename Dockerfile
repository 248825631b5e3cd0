# syntax=docker/dockerfile:1
FROM golang:1.26-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN CGO_ENABLED=0 go build -trimpath -ldflags "-s -w" -o /healthix-scim ./cmd/healthix-scim \
 && mkdir /empty

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
# The embedded database, its keys and mails; and room for the demo.
COPY --from=build --chown=65532:65532 /empty /data
COPY --from=build --chown=65532:65532 /empty /tmp
COPY --from=build /healthix-scim /healthix-scim
USER 65532:65532
WORKDIR /data
VOLUME /data
# A container is reached from outside: the server asks for TLS or proxies, and
# for its public URL.
ENV HEALTHIX_ADDR=0.0.0.0:8080
EXPOSE 8080
HEALTHCHECK --interval=15s --timeout=5s --start-period=20s CMD ["/healthix-scim", "healthcheck"]
ENTRYPOINT ["/healthix-scim"]
CMD ["serve"]
