package api

import (
	"net/http"
	"time"
)

// Limits of a connection, against slow and greedy clients.
const (
	maxHeaderBytes    = 64 << 10
	readHeaderTimeout = 10 * time.Second
	readTimeout       = 60 * time.Second // header and body
	writeTimeout      = 90 * time.Second // from the end of the header
	idleTimeout       = 120 * time.Second
	requestDeadline   = 30 * time.Second // of the work; the answer may take longer to send
)

// NewServer makes the HTTP server with its limits set.
func NewServer(handler http.Handler, addr string) *http.Server {
	return &http.Server{
		Addr:              addr,
		Handler:           handler,
		MaxHeaderBytes:    maxHeaderBytes,
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
	}
}
