// Package detect is the stage that decides which devices are in the store. It
// reads sightings and ticks from topic sightings, decides them by the rules of
// package presence, and produces walk-ins and visits ended.
//
// # What the stage promises
//
// The decisions are a function of the records of a partition, in their order,
// and of the rules of the businesses. However the partition is cut into batches,
// redelivered, and handed between environments that are cold, warm or behind,
// and whichever call fails before or after the call took effect: the same
// walk-ins and the same ends of visits are produced, and the tallies add up to
// the same figures. A record may be produced again, but with the same id, because
// an id is the hash of business, device and start. No wall clock takes part: the
// time is the watermark of the partition, and ticks carry the watermark.
//
// # The life of a batch
//
// An environment is one running instance of the function. It keeps the devices of
// each partition in memory, in a view. The durable form of the view is the
// partition's changelog in the table visit-log: items with the sequence numbers
// 0, 1, 2, …, each appended on condition that its number is free. For example,
// the last item of partition 0 is 41 and covers the offsets up to 900. A batch
// with the offsets 899 to 950 is delivered to environment A:
//
//  1. Catch up. If A has no view (A is cold), A reads the changelog. If the view
//     ends before item 41 (A is behind), A reads the items since. When a batch
//     begins right after the last offset of the view, nothing is read.
//  2. Skip the offsets 899 and 900. Item 41 covers both: they are redelivered.
//  3. Decide the offsets 901 to 950 on the view. A sighting changes one device. A
//     tick moves the watermark and changes all devices that are due. If no retry
//     can decide a record, the record becomes a dead letter.
//  4. Produce the walk-ins, the visits ended and the dead letters, and wait until
//     the broker has acknowledged all of them.
//  5. Append item 42 with the state of each device that changed, the offset 950,
//     the watermark and the tally. Now the batch is done.
//
// If A dies before step 5, the batch is redelivered, and decided and produced
// again. If environment B has the same batch at the same time, and is first with
// item 42, the append of A is a conflict (fencing): A drops its view, reads item
// 42, and decides the records of the batch after the offset of item 42, if any.
//
// A batch takes several items if its changes do not fit into one, and one item
// more for each moment at which the rules of a business change.
//
// # What an item holds
//
// The last offset that is decided, the watermark, the tally of the records since
// the item before, and the state of each device that changed. A device that is
// forgotten only because time has passed has no entry: a reader forgets the
// device by the same watermark. An item also names the oldest item that still
// holds the state of a device: a cold reader begins with that item. Items expire
// after 14 days. If the state of a device has not changed for long, the state is
// written again before its item expires.
//
// # Topic epochs
//
// A changelog belongs to one topic epoch: one id of the topic and one number of
// partitions. When the topic is recreated or partitions are added, each partition
// of the new epoch begins a changelog with the devices whose keys belong to the
// partition now, from all former changelogs. The former changelogs are sealed:
// no further item can be appended.
//
// # Where to start reading
//
// detect.go has New and Handle, and prepare, which is step 1. changelog.go reads
// the changelog into a view (view.go); epochs.go begins the changelogs of a new
// topic epoch. decider.go decides sightings, tick.go ticks, and boundary.go the
// moments at which rules change; rulebook.go holds the rules. pending.go has
// steps 4 and 5, and item.go the format of an item.
package detect
