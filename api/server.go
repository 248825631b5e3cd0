package api

import (
	"context"
	"net"
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
	streamTime        = 10 * time.Minute // of an answer that is written as it is read
)

// NewServer makes the HTTP server with its limits set.
func NewServer(handler http.Handler, addr string) *http.Server {
	left, leave := context.WithCancel(context.Background())
	server := &http.Server{
		BaseContext: func(net.Listener) context.Context {
			return context.WithValue(context.Background(), leavingKey{}, left.Done())
		},
		Addr:              addr,
		Handler:           handler,
		MaxHeaderBytes:    maxHeaderBytes,
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
	}
	server.RegisterOnShutdown(leave)
	return server
}

type leavingKey struct{}

// leaving is closed when the server that a request came to begins to shut down.
// It is nil, and so never, for a request that came otherwise.
func leaving(ctx context.Context) <-chan struct{} {
	done, _ := ctx.Value(leavingKey{}).(<-chan struct{})
	return done
}
