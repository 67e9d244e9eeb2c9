// Package catalog keeps the AWS resources (dataset groups, schemas, solutions, campaigns, …) as JSON objects in the
// bucket, one object a resource, and is the only state about them that services share: there is no leader and no
// database.
//
// The control service creates and changes resources, the retrainer moves its jobs along, and every service reads
// through a View. What makes several writers safe:
//
//   - Create is a conditional put: the object's key, which follows from the resource's name, is the lock.
//   - Update is a compare-and-swap on the object's ETag. Each write carries a nonce, so that a writer whose answer was lost
//     recognises its own success instead of applying the change again: see blob.Document.
//   - Rules across objects (no child under a parent that is being deleted, quotas, one tracker a group) are decided in the
//     parent: Create writes a reservation into it before the child exists; see family.go for why no interleaving and
//     no crash leaves an orphan.
//   - Jobs are run by whoever holds the lease in their resource; its epoch fences out a holder that was presumed dead.
//   - Delete first marks the object by compare-and-swap and leases it to one deleter, because object stores have no
//     conditional delete: no other process removes the key afterwards, so a resource created again under the name survives.
//
// Layout: catalog/<type>/<id>.json, with the id of the ARN (its dataset group or solution as a folder for datasets and
// solution versions). Names hold no dots, so no object's key is the folder of another.
package catalog
