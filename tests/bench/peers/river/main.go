// River with a full queue of jobs that do nothing: river DATABASE_URL COUNT
//
// Inserts COUNT jobs with InsertManyFast, then starts 500 workers and prints, as one JSON object, the
// seconds from that start until every job is recorded as completed.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"
)

const chunk = 10000

type noopArgs struct{}

func (noopArgs) Kind() string { return "noop" }

type noopWorker struct {
	river.WorkerDefaults[noopArgs]
	done *atomic.Int64
}

func (w *noopWorker) Work(ctx context.Context, job *river.Job[noopArgs]) error {
	w.done.Add(1)
	return nil
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "river:", err)
		os.Exit(1)
	}
}

func completed(ctx context.Context, pool *pgxpool.Pool) (n int64) {
	must(pool.QueryRow(ctx, "SELECT count(*) FROM river_job WHERE state = 'completed'").Scan(&n))
	return n
}

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: river DATABASE_URL COUNT")
		os.Exit(2)
	}
	count, err := strconv.ParseInt(os.Args[2], 10, 64)
	must(err)
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	pool, err := pgxpool.New(ctx, os.Args[1])
	must(err)
	driver := riverpgxv5.New(pool)
	migrator, err := rivermigrate.New(driver, nil)
	must(err)
	_, err = migrator.Migrate(ctx, rivermigrate.DirectionUp, nil)
	must(err)

	var done atomic.Int64
	workers := river.NewWorkers()
	river.AddWorker(workers, &noopWorker{done: &done})
	client, err := river.NewClient(driver, &river.Config{
		Logger:            slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError})),
		Queues:            map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: 500}},
		FetchCooldown:     2 * time.Millisecond,
		FetchPollInterval: 10 * time.Millisecond,
		Workers:           workers,
	})
	must(err)
	for left := count; left > 0; left -= chunk {
		params := make([]river.InsertManyParams, min(left, chunk))
		for i := range params {
			params[i].Args = noopArgs{}
		}
		_, err = client.InsertManyFast(ctx, params)
		must(err)
	}
	_, err = pool.Exec(ctx, "ANALYZE river_job")
	must(err)

	start := time.Now()
	must(client.Start(ctx))
	for done.Load() < count && ctx.Err() == nil {
		time.Sleep(5 * time.Millisecond)
	}
	for completed(ctx, pool) < count {
		time.Sleep(5 * time.Millisecond)
	}
	seconds := time.Since(start).Seconds()
	must(client.Stop(ctx))
	must(json.NewEncoder(os.Stdout).Encode(map[string]any{"jobs": count, "seconds": seconds}))
}
