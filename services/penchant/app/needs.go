package app

import "slices"

// Part is a part of a process: a target, which a command runs, or what a target needs.
type Part string

// The targets.
const (
	All            Part = "all"
	Tracker        Part = "tracker"
	SessionUpdater Part = "session-updater"
	Firehose       Part = "firehose"
	Retrainer      Part = "retrainer"
	Recommender    Part = "recommender"
	Control        Part = "control"
	Bridge         Part = "bridge"
)

// What targets need.
const (
	// Embedded servers stand in for those that are not set.
	Embedded Part = "embedded-servers"
	// Kafka and Bucket are clients, which are there even while the servers are away.
	Kafka  Part = "kafka"
	Bucket Part = "bucket"
	// OwnTopics are Penchant's own topics, which are created first.
	OwnTopics Part = "own-topics"
	// ReadyBucket is the bucket, once it exists and can be written.
	ReadyBucket Part = "ready-bucket"
	// Redis is a client, too; ReadyRedis waits until it answers.
	Redis      Part = "redis"
	ReadyRedis Part = "ready-redis"
	// Catalog is the view of the catalog, and Models is the registry of the models that campaigns serve.
	Catalog Part = "catalog"
	Models  Part = "models"
)

// needs lists what each part needs. The recommender can start whatever is away, from its cache of models, and the
// retrainer without Redis; where other services run in the same process, it waits for what they wait for.
var needs = map[Part][]Part{
	All:            {Embedded, Tracker, SessionUpdater, Firehose, Retrainer, Recommender, Control},
	Tracker:        {Catalog, OwnTopics, ReadyBucket},
	SessionUpdater: {Catalog, OwnTopics, ReadyBucket, ReadyRedis, Models},
	Firehose:       {Catalog, OwnTopics, ReadyBucket},
	Retrainer:      {Catalog, OwnTopics, ReadyBucket, Redis},
	Recommender:    {Catalog, Models, Redis},
	Control:        {Catalog, OwnTopics, ReadyBucket},
	Bridge:         {Kafka}, // it knows Penchant by its API alone

	Models:      {Catalog},
	Catalog:     {Kafka, Bucket},
	OwnTopics:   {Kafka},
	ReadyBucket: {Bucket},
	ReadyRedis:  {Redis},
}

// withoutRedis names what does not work while a Redis that a target does not wait for is away.
var withoutRedis = map[Part]string{
	Retrainer:   "data deletion jobs wait, and no results of batch jobs can be looked up",
	Recommender: "visitors are answered as unknown ones",
}

// Services returns the targets that run one service of Penchant, in the order in which All starts them.
func Services() []Part {
	return slices.DeleteFunc(slices.Clone(needs[All]), func(p Part) bool { return p == Embedded })
}

// Needs reports whether p is other, or needs it, directly or through another part.
func (p Part) Needs(other Part) bool {
	return p == other || slices.ContainsFunc(needs[p], func(n Part) bool { return n.Needs(other) })
}
