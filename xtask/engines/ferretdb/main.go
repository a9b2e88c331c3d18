// FerretDB as a program of its own: the module is embeddable and ships no server that could be built from outside its
// repository. It speaks MongoDB's wire protocol and keeps what it is given in PostgreSQL.
package main

import (
	"context"
	"log"
	"os"
	"os/signal"
	"syscall"

	"github.com/FerretDB/FerretDB/ferretdb"
)

func main() {
	server, err := ferretdb.New(&ferretdb.Config{
		Listener: ferretdb.ListenerConfig{TCP: os.Getenv("FERRETDB_LISTEN")},
		Handler:  "postgresql",
		// Without a user: each client's own name and password are those of a role of PostgreSQL.
		PostgreSQLURL: os.Getenv("FERRETDB_POSTGRESQL_URL"),
	})
	if err != nil {
		log.Fatal(err)
	}
	stop, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer cancel()
	if err := server.Run(stop); err != nil {
		log.Fatal(err)
	}
}
