// pgx: cached prepared statements, batch, copy, transaction, error. Usage: go run pgx.go PORT
package main

import (
	"context"
	"os"

	"github.com/jackc/pgx/v5"
)

func main() {
	ctx := context.Background()
	c, err := pgx.Connect(ctx, "postgres://canary_user:canary-password@127.0.0.1:"+os.Args[1]+"/postgres?sslmode=disable")
	if err != nil {
		panic(err)
	}
	defer c.Close(ctx)
	for i := 0; i < 3; i++ {
		var name string
		_ = c.QueryRow(ctx, "SELECT name FROM shop WHERE id = $1 AND name <> $2", i, "canary").Scan(&name)
	}
	batch := &pgx.Batch{}
	for i := 0; i < 3; i++ {
		batch.Queue("INSERT INTO shop (name, price) VALUES ($1, $2)", "canary", i)
	}
	_ = c.SendBatch(ctx, batch).Close()
	_, _ = c.CopyFrom(ctx, pgx.Identifier{"shop"}, []string{"name", "price"}, pgx.CopyFromRows([][]any{{"canary", 1}, {"canary", 2}}))
	tx, _ := c.Begin(ctx)
	_, _ = tx.Exec(ctx, "UPDATE shop SET price = price + 1 WHERE id = $1", 1)
	_ = tx.Commit(ctx)
	_, _ = c.Exec(ctx, "SELECT * FROM missing WHERE word = 'canary'")
}
