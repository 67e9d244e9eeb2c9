package recommender

import "github.com/penchant-io/penchant/pkg/process"

// Options are the settings of the recommender, with the flags that they are given by.
type Options struct {
	// AttributesBytes bounds the memory of what is known of items and users; 0: no bound.
	AttributesBytes process.ByteSize `default:"4GiB" help:"Bound of the memory that a recommender takes for the attributes of items and users that filters and metadata ask for, as estimated. An import doubles a table while it is read."`
}
