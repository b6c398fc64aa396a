// A stranger's program: it follows Covey's events with a plain Kafka client, and knows nothing of Covey but the topics'
// names.
//
//	go run . --kafka 127.0.0.1:9092 covey.renewal.available.v1 covey.renewal.changed.v1
//
// Where Kafka asks who connects, --user NAME signs on (SASL, SCRAM-SHA-512), with the password in KAFKA_PASSWORD.
//
// It does what ../downstream_subscriber.py does, in another language: the same checks, the same lines, the same last line
// and exit code. Nothing but the topics and their headers says how: CloudEvents 1.0, Kafka binary binding, plain JSON.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

const (
	allHeld = iota
	somethingDidNotHold
	failed
)

func main() {
	kafka := flag.String("kafka", "", "bootstrap servers, host:port")
	user := flag.String("user", "", "who signs on, with the password in KAFKA_PASSWORD")
	flag.Parse()
	if *kafka == "" || flag.NArg() == 0 {
		fmt.Fprintln(os.Stderr, "usage: go-subscriber --kafka HOST:PORT TOPIC...  (all topics of one or more aggregates)")
		os.Exit(failed)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()

	ledger := NewLedger()
	if err := follow(ctx, *kafka, *user, flag.Args(), ledger, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(failed)
	}
	summary := ledger.Summary()
	if err := newEncoder(os.Stdout).Encode(summary); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(failed)
	}
	if len(summary.Violations) > 0 {
		os.Exit(somethingDidNotHold)
	}
	os.Exit(allHeld)
}

// follow reads every topic from its beginning until the context ends, and writes one line an event.
func follow(ctx context.Context, kafka, user string, topics []string, ledger *Ledger, out io.Writer) error {
	options := []kgo.Opt{
		kgo.SeedBrokers(kafka),
		kgo.ConsumeTopics(topics...),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchMaxWait(50 * time.Millisecond),
	}
	if user != "" {
		signOn := scram.Auth{User: user, Pass: os.Getenv("KAFKA_PASSWORD")}
		options = append(options, kgo.SASL(signOn.AsSha512Mechanism()))
	}
	client, err := kgo.NewClient(options...)
	if err != nil {
		return err
	}
	defer client.Close()

	buffered := bufio.NewWriter(out)
	lines := newEncoder(buffered)
	for {
		fetches := client.PollFetches(ctx)
		if ctx.Err() != nil {
			return nil
		}
		// What passes by itself is tried again by the client; what comes here does not pass.
		if err := errorOf(fetches); err != nil {
			return err
		}
		for records := fetches.RecordIter(); !records.Done(); {
			if event := ledger.Read(records.Next()); event != nil {
				if err := lines.Encode(event); err != nil {
					return err
				}
			}
		}
		if err := buffered.Flush(); err != nil {
			return err
		}
	}
}

func errorOf(fetches kgo.Fetches) error {
	var found []error
	fetches.EachError(func(topic string, partition int32, err error) {
		found = append(found, fmt.Errorf("%s/%d: %w", topic, partition, err))
	})
	return errors.Join(found...)
}

func newEncoder(out io.Writer) *json.Encoder {
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	return encoder
}
