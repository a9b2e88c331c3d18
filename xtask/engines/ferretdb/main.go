// FerretDB as a program of its own: the module is embeddable and ships no server that could be built from
// outside its repository. It speaks MongoDB's wire protocol and keeps what it is given in PostgreSQL.
//
// FerretDB learns which collections there are once, when its first client comes, and through that client's
// eyes: what that role may not see does not exist for anybody, until the server is started again. So the
// first client is our own, under a role that sees everything. Until that is done, nobody else gets in: the
// public address only opens then, and hands each connection on to the one that FerretDB listens on.
package main

import (
	"context"
	"io"
	"log"
	"net"
	"net/url"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/FerretDB/FerretDB/ferretdb"
	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/mongo"
	"go.mongodb.org/mongo-driver/mongo/options"
)

func main() {
	server, err := ferretdb.New(&ferretdb.Config{
		Listener: ferretdb.ListenerConfig{TCP: "127.0.0.1:0"},
		Handler:  "postgresql",
		// Without a user: each client's own name and password are those of a role of PostgreSQL.
		PostgreSQLURL: os.Getenv("FERRETDB_POSTGRESQL_URL"),
	})
	if err != nil {
		log.Fatal(err)
	}
	stop, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer cancel()
	go func() {
		if err := lookAround(server.MongoDBURI()); err != nil {
			log.Fatal("the collections that are there: ", err)
		}
		log.Fatal(serve(os.Getenv("FERRETDB_LISTEN"), server.MongoDBURI()))
	}()
	if err := server.Run(stop); err != nil {
		log.Fatal(err)
	}
}

// lookAround lets FerretDB learn what there is, as the role that sees it all.
func lookAround(address string) error {
	patience, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	login := options.Credential{
		AuthMechanism: "PLAIN",
		Username:      os.Getenv("FERRETDB_USER"),
		Password:      os.Getenv("FERRETDB_PASSWORD"),
	}
	client, err := mongo.Connect(patience, options.Client().ApplyURI(address).SetAuth(login))
	if err != nil {
		return err
	}
	defer client.Disconnect(patience)
	_, err = client.ListDatabaseNames(patience, bson.M{})
	return err
}

// serve hands every connection to the public address on to FerretDB.
func serve(public, address string) error {
	parsed, err := url.Parse(address)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", public)
	if err != nil {
		return err
	}
	for {
		client, err := listener.Accept()
		if err != nil {
			return err
		}
		go join(client, parsed.Host)
	}
}

func join(client net.Conn, address string) {
	defer client.Close()
	server, err := net.Dial("tcp", address)
	if err != nil {
		return
	}
	defer server.Close()
	go func() {
		io.Copy(server, client)
		server.Close()
	}()
	io.Copy(client, server)
}
