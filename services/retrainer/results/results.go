// Package results writes down what recommendations have brought: the reports of metric attributions, and the tallies of
// experiments. services/retrainer runs both beside its queues; an import asks Reports for a report about what it has
// brought.
package results
