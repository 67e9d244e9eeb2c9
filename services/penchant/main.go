// Command penchant is Penchant: one binary with a target for each service, `all` for every service in one process, and
// the commands of operators and newcomers.
//
// What a running `penchant all` is made of; each box is also a target of its own:
//
//	                    ┌──────────────── one HTTP port (awsapi.Router) ────────────────┐
//	PutEvents/Items/Users ▼                 Create/Describe/List ▼        GetRecommendations ▼
//	                ┌─────────┐                      ┌─────────┐                 ┌─────────────┐
//	                │ tracker │                      │ control │                 │ recommender │
//	                └────┬────┘                      └────┬────┘                 └──▲───────▲──┘
//	                     │ events                   jobs, │ catalog                 │ users │ models
//	═══ Kafka ═══════════▼════════════════════════════════▼═══════                  │       │
//	       │                      │                       │                         │       │
//	┌──────▼──────────┐    ┌──────▼───┐            ┌──────▼────┐                    │       │
//	│ session-updater │    │ firehose │            │ retrainer │                    │       │
//	└──────┬──────────┘    └──────┬───┘            └──────┬────┘                    │       │
//	═══ Redis ═══▼════════════════│═══════════════════════│═════════════════════════╯       │
//	═══ S3 ═══════════════════════▼ archive ══════════════▼ models, datasets, catalog ══════╯
//
// The services never call one another: they share Kafka, Redis and one bucket.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/penchant-io/penchant/services/bridge"
	"github.com/penchant-io/penchant/services/penchant/evaluate"
)

// commands is the command line: a field is a command, its struct the flags.
type commands struct {
	All            targetCmd        `cmd:"" help:"Run every service in this process, on embedded servers where no outside ones are set."`
	Tracker        targetCmd        `cmd:"" help:"Run the tracker: PutEvents, PutItems and PutUsers into Kafka."`
	SessionUpdater targetCmd        `cmd:"" help:"Run the session-updater: folds interactions into user states in Redis."`
	Firehose       targetCmd        `cmd:"" help:"Run the firehose: archives every event to S3, exactly once."`
	Retrainer      targetCmd        `cmd:"" help:"Run the retrainer: imports, trainings."`
	Recommender    targetCmd        `cmd:"" help:"Run the recommender: GetRecommendations and GetPersonalizedRanking."`
	Control        targetCmd        `cmd:"" help:"Run the control plane: dataset groups, solutions, campaigns."`
	Bridge         bridgeCmd        `cmd:"" help:"Run the bridge: makes events of the records of a web server's own Kafka topic. Or check a mapping."`
	Status         statusCmd        `cmd:"" help:"Show dataset groups, jobs, lags, archive, Redis and topics at a glance."`
	Doctor         doctorCmd        `cmd:"" help:"Check the installation, or data: what is wrong, and how to fix it."`
	Topics         topicsCmd        `cmd:"" help:"Read Penchant's topics, see who is behind, create missing ones."`
	Archive        archiveCmd       `cmd:"" help:"Verify the archive, or fold archived events into user states again."`
	Dlq            dlqCmd           `cmd:"" help:"List the records that could not be handled, or put them back."`
	Filter         filterCmd        `cmd:"" help:"Check filter expressions."`
	Explain        explainCmd       `cmd:"" help:"Explain how the answer to a user comes about: model, history, what each part of a filter removed."`
	Workflow       workflowCmd      `cmd:"" help:"List, print or install the workflows that come with Penchant."`
	Report         reportCmd        `cmd:"" help:"Show how good a solution version is, compared with popularity, and save its plots."`
	Demo           demoCmd          `cmd:"" help:"Show recommendations that change as a visitor clicks, on generated data."`
	Evaluate       evaluate.Command `cmd:"" help:"Train a recipe on a file and write its recommendations for the users of another."`
	Health         healthCmd        `cmd:"" help:"Ask a process of this machine whether it is ready; exit code 1 and the reasons if not."`
	Version        versionCmd       `cmd:"" help:"Print the version."`
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "penchant:", err)
		os.Exit(exitCode(err))
	}
}

func run(args []string) error {
	// The first signal drains and stops; a second one ends the process at once.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)

	command, err := parseCommand(ctx, &commands{}, args)
	if err != nil {
		return err
	}
	return command.Run()
}

// parseCommand fills c from the arguments and the environment.
func parseCommand(ctx context.Context, c *commands, args []string) (*kong.Context, error) {
	parser, err := newParser(ctx, c, defaultDataDir())
	if err != nil {
		return nil, err
	}
	if err := prepareEnvironment(parser); err != nil {
		return nil, err
	}
	command, err := parser.Parse(args)
	if err != nil {
		return nil, unfinishedError{err}
	}
	return command, nil
}

func newParser(ctx context.Context, c *commands, dataDir string) (*kong.Kong, error) {
	parser, err := kong.New(c,
		kong.Name("penchant"),
		kong.Description("Self-hosted, wire-compatible Amazon Personalize on Kafka, Redis and S3."),
		kong.DefaultEnvars("PENCHANT"),
		kong.UsageOnError(),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
		kong.Vars{"data_dir": dataDir, "bridge_group": bridge.ConsumerGroup},
		kong.BindTo(ctx, (*context.Context)(nil)),
	)
	if err != nil {
		return nil, fmt.Errorf("building the command line: %w", err)
	}
	return parser, nil
}

// versionCmd prints what was built.
type versionCmd struct{}

// Run prints the module's version and the Go version, and the commit where the build knows it.
func (versionCmd) Run() error {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		fmt.Println("penchant (unknown build)")
		return nil
	}
	revision := ""
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			revision = " " + s.Value
		}
	}
	fmt.Printf("penchant %s%s %s\n", info.Main.Version, revision, info.GoVersion)
	return nil
}
