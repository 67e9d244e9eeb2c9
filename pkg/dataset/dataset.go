// Package dataset holds the data that models are trained on: it imports CSV files into columnar form, reads them back,
// and joins them with the archive of events into a trainingset.Set.
//
// An import (Import, run by the retrainer's import jobs) streams CSV files from a user's bucket into Parquet parts and
// then switches the dataset's manifest to them in one compare-and-swap:
//
//	datasets/<group>/<TYPE>/manifest.json                            which parts are the data, and the number of the version
//	datasets/<group>/<TYPE>/v<number>/part-<attempt>-<n>.parquet     written once, never changed
//
// So readers see the data before an import or after it, a failed or killed import changes nothing, and running it again
// is harmless. The retrainer (Load) and the session-updater (Current, Interactions) read; both see imported
// interactions with the same event ids and so in the same order.
//
// # Event ids and the order of imported interactions
//
// CSV timestamps are whole seconds, so ties within a user's history are the rule. reco.CompareRecent breaks them by
// event id; imported rows therefore get ids that sort by position: "i", the version's number and the row's number in
// the import, both in base 36 with a fixed width. Files of a folder count in the order of their names. A row that
// repeats an earlier one in all columns is dropped: within one import where the two are not too far apart (a few
// million rows), and always in training.
package dataset
