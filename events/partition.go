package events

import "encoding/binary"

// Partition returns the partition of a key in a topic of that many partitions,
// which must be above 0. The rule is that of Kafka's default partitioner for
// records with a key: murmur2 without its sign bit, modulo the number of
// partitions. Callers that only look up a partition need no Kafka client.
func Partition(key []byte, partitions int32) int32 {
	return int32(murmur2(key)&0x7fff_ffff) % partitions
}

// murmur2 returns the MurmurHash2 of data for 32 bits, little-endian, with the
// seed of Kafka's Java client (org.apache.kafka.common.utils.Utils.murmur2).
func murmur2(data []byte) uint32 {
	const seed, m = 0x9747b28c, 0x5bd1e995
	h := seed ^ uint32(len(data))
	for ; len(data) >= 4; data = data[4:] {
		k := binary.LittleEndian.Uint32(data) * m
		k = (k ^ k>>24) * m
		h = h*m ^ k
	}
	// The last 1 to 3 bytes.
	if len(data) > 0 {
		var last [4]byte
		copy(last[:], data)
		h = (h ^ binary.LittleEndian.Uint32(last[:])) * m
	}
	h = (h ^ h>>13) * m
	return h ^ h>>15
}
