// clients.mjs BOOTSTRAP PEER: what KafkaJS expects of Kafka.
import { createRequire } from 'node:module'
import zlib from 'node:zlib'
import kafkajs from 'kafkajs'
import lz4 from 'lz4-napi'
import snappy from 'snappyjs'
import { COMPRESSIONS, count, end, eventually, expect, name, noise, PATIENCE_MS, refused as refusedBy, states, within } from '../statements.mjs'

const { Kafka, logLevel, CompressionTypes, CompressionCodecs, ConfigResourceTypes, Partitioners, AssignerProtocol } = kafkajs
const [bootstrap, peer] = process.argv.slice(2)
console.log(`# KafkaJS ${createRequire(import.meta.url)('kafkajs/package.json').version} against ${peer}`)

// KafkaJS has gzip only, and takes the others from whoever has them. Java writes snappy in blocks behind a header, so it must be read.
const XERIAL = Buffer.from([0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0])
const codec = (compress, decompress) => () => ({
  compress: async encoder => compress(encoder.buffer),
  decompress: async bytes => decompress(bytes)
})
function unsnap (bytes) {
  if (!bytes.subarray(0, 8).equals(XERIAL)) return Buffer.from(snappy.uncompress(bytes))
  const blocks = []
  for (let at = 16; at < bytes.length;) {
    const length = bytes.readUInt32BE(at)
    blocks.push(Buffer.from(snappy.uncompress(bytes.subarray(at + 4, at + 4 + length))))
    at += 4 + length
  }
  return Buffer.concat(blocks)
}
CompressionCodecs[CompressionTypes.Snappy] = codec(bytes => Buffer.from(snappy.compress(bytes)), unsnap)
CompressionCodecs[CompressionTypes.LZ4] = codec(lz4.compressFrame, lz4.decompressFrame)
CompressionCodecs[CompressionTypes.ZSTD] = codec(b => zlib.zstdCompressSync(b), b => zlib.zstdDecompressSync(b))
const types = { none: CompressionTypes.None, gzip: CompressionTypes.GZIP, snappy: CompressionTypes.Snappy, lz4: CompressionTypes.LZ4, zstd: CompressionTypes.ZSTD }

const kafka = new Kafka({ clientId: 'kafkajs', brokers: [bootstrap], logLevel: logLevel.NOTHING, retry: { retries: 5, initialRetryTime: 100, maxRetryTime: 1000 } })
const admin = kafka.admin()
await admin.connect()

// What Kafka calls it: it may be wrapped, as the cause of a last try or as one of several.
const code = why => why.type ?? why.errors?.[0]?.type ?? why.groups?.[0]?.error?.type ?? why.partitions?.[0]?.error?.type ?? (why.cause ? code(why.cause) : why.name)
const refused = (expected, body) => refusedBy(expected, code, body)
// For topics whose records have timestamps of long ago: by default Kafka would delete them, at a moment nobody knows.
const KEPT = { 'retention.ms': '-1' }

async function topic (hint, numPartitions = 1, config = {}) {
  const created = name('kafkajs', hint)
  const configEntries = Object.entries(config).map(([key, value]) => ({ name: key, value }))
  await admin.createTopics({ waitForLeaders: true, topics: [{ topic: created, numPartitions, replicationFactor: 1, configEntries }] })
  // Kafka's controller answers before the broker leads the partitions.
  await eventually('the topic is led', async () => {
    try {
      return (await admin.fetchTopicOffsets(created)).length === numPartitions
    } catch {
      return false
    }
  })
  return created
}

async function send (of, messages, { compression = 'none', acks = -1, ...settings } = {}) {
  const producer = kafka.producer({ createPartitioner: Partitioners.DefaultPartitioner, ...settings })
  await producer.connect()
  try {
    return await producer.send({ topic: of, messages, compression: types[compression], acks })
  } finally {
    await producer.disconnect()
  }
}

const numbered = (n, partition = 0) => count(n, i => ({ partition, key: `k${i}`, value: `v${i}` }))

// KafkaJS reads in groups only.
async function member (groupId, of, { fromBeginning = true, run = {}, ...settings } = {}) {
  const consumer = kafka.consumer({ groupId, maxWaitTimeInMs: 100, heartbeatInterval: 500, metadataMaxAge: 2000, sessionTimeout: 10_000, rebalanceTimeout: 10_000, ...settings })
  const got = []
  const joined = { partitions: [], generation: 0 }
  consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => {
    joined.partitions = Object.values(payload.memberAssignment).flat()
    joined.generation++
    joined.id = payload.memberId
  })
  await consumer.connect()
  for (const one of [of].flat()) await consumer.subscribe({ topic: one, fromBeginning })
  await consumer.run({ eachMessage: async ({ topic, partition, message }) => { got.push({ topic, partition, ...message }) }, ...run })
  await eventually('the member joined', () => joined.generation > 0)
  return { consumer, got, joined, close: () => within(PATIENCE_MS, 'the member leaves', consumer.disconnect()) }
}

async function read (of, n, settings = {}) {
  const reader = await member(name('kafkajs', 'reader'), of, settings)
  try {
    await eventually(`${n} records of ${of}`, () => reader.got.length >= n)
    return reader.got
  } finally {
    await reader.close()
  }
}

const text = message => message.value && message.value.toString()

for (const compression of COMPRESSIONS) {
  await states(`${compression}: keys, values, headers, timestamps and order come back as sent`, async () => {
    const of = await topic(compression, 1, KEPT)
    const sent = count(200, i => ({
      partition: 0,
      timestamp: String(1_600_000_000_000 + i * 37 % 101),
      headers: Object.fromEntries(count(i % 4, h => [`h${h}`, h === 2 ? [Buffer.from('twice'), Buffer.from(`${i}`)] : Buffer.from(`h${i}${h}`)])),
      key: i % 5 === 1 ? null : Buffer.from(i % 7 === 0 ? '' : `key${i}`),
      value: i % 5 === 2 ? null : i % 13 === 0 ? Buffer.alloc(0) : Buffer.concat([noise(i * 10), Buffer.alloc(i * 10)])
    }))
    await send(of, sent, { compression })
    const got = await read(of, 200)
    sent.forEach((theirs, i) => {
      const { offset, key, value, headers, timestamp } = got[i]
      expect(`record ${i}`, { offset: String(i), key: theirs.key, value: theirs.value, headers: theirs.headers, timestamp: theirs.timestamp },
        { offset, key, value, headers: { ...headers }, timestamp })
    })
  })

  await states(`${compression}: a record of 1 MB comes back as sent`, async () => {
    const of = await topic(compression)
    const value = noise(1_000_000)
    await send(of, [{ value }], { compression })
    expect('the value is the same', true, (await read(of, 1))[0].value.equals(value))
  })
}

for (const [shown, settings] of [['acks=1', { acks: 1 }], ['acks=-1', {}], ['idempotent', { idempotent: true, maxInFlightRequests: 1 }]]) {
  await states(`${shown}: base offsets are told, and records come in order`, async () => {
    const of = await topic('acks')
    const producer = kafka.producer({ createPartitioner: Partitioners.DefaultPartitioner, ...settings })
    await producer.connect()
    const told = []
    try {
      for (let i = 0; i < 50; i++) told.push((await producer.send({ topic: of, acks: settings.acks ?? -1, messages: numbered(20) }))[0].baseOffset)
    } finally {
      await producer.disconnect()
    }
    expect('base offsets', count(50, i => String(i * 20)), told)
    expect('values', count(1000, i => `v${i % 20}`), (await read(of, 1000)).map(text))
  })
}

await states('acks=0: records are stored in order', async () => {
  const of = await topic('acks')
  await send(of, numbered(100), { acks: 0 })
  expect('values', count(100, i => `v${i}`), (await read(of, 100)).map(text))
})

await states('several topics in one request: each gets its own', async () => {
  const [one, two] = [await topic('many', 2), await topic('many')]
  const producer = kafka.producer({ createPartitioner: Partitioners.DefaultPartitioner })
  await producer.connect()
  const told = await producer.sendBatch({ topicMessages: [{ topic: one, messages: [...numbered(3, 0), ...numbered(2, 1)] }, { topic: two, messages: numbered(4) }] })
  await producer.disconnect()
  expect('told', [`${one}:0:0`, `${one}:1:0`, `${two}:0:0`], told.map(t => `${t.topicName}:${t.partition}:${t.baseOffset}`).sort())
  expect('records', [5, 4], [(await read(one, 5)).length, (await read(two, 4)).length])
})

await states('records of one key go to one partition, as many keys to all', async () => {
  const of = await topic('keys', 4)
  await send(of, count(400, i => ({ key: `key${i % 40}`, value: 'v' })))
  const homes = {}
  for (const { key, partition } of await read(of, 400)) (homes[key] ??= new Set()).add(partition)
  expect('partitions of each key', true, Object.values(homes).every(some => some.size === 1))
  expect('partitions', 4, new Set(Object.values(homes).flatMap(some => [...some])).size)
})

await states('a record above max.message.bytes is refused: MESSAGE_TOO_LARGE', async () => {
  const of = await topic('large')
  await refused('MESSAGE_TOO_LARGE', () => send(of, [{ value: noise(1_100_000) }]))
  expect('offset of the next', '0', (await send(of, [{ value: 'small' }]))[0].baseOffset)
})

await states("LogAppendTime: the broker's clock replaces the record's timestamp, and is told", async () => {
  const of = await topic('append-time', 1, { 'message.timestamp.type': 'LogAppendTime' })
  const before = Date.now()
  for (const compression of COMPRESSIONS) {
    const [told] = await send(of, [{ value: 'v', timestamp: '1000' }], { compression })
    expect('told timestamp is of now', true, before <= Number(told.logAppendTime) && Number(told.logAppendTime) <= Date.now())
  }
  for (const { timestamp } of await read(of, 5)) expect('timestamp is of now', true, before <= Number(timestamp) && Number(timestamp) <= Date.now())
})

await states('a timestamp two hours ahead is refused by default: INVALID_TIMESTAMP', async () => {
  const of = await topic('ahead')
  await refused('INVALID_TIMESTAMP', () => send(of, [{ value: 'v', timestamp: String(Date.now() + 7_200_000) }]))
})

await states('50 partitions: each keeps its order, and nothing is lost or doubled', async () => {
  const of = await topic('fifty', 50)
  await send(of, count(3000, i => ({ partition: i % 50, value: String(i) })), { compression: 'lz4' })
  const seen = count(50, () => [])
  for (const message of await read(of, 3000)) seen[message.partition].push(Number(text(message)))
  expect('values', count(50, p => count(60, i => i * 50 + p)), seen)
})

await states('producing to a topic that does not exist creates it', async () => {
  const of = name('kafkajs', 'sprung')
  expect('offset', '0', (await send(of, [{ value: 'v' }]))[0].baseOffset)
  expect('value', 'v', text((await read(of, 1))[0]))
})

await states('seek: reading goes on at exactly that offset, within a batch too', async () => {
  const of = await topic('seek')
  await send(of, numbered(100), { compression: 'gzip' })
  const reader = await member(name('kafkajs', 'group'), of)
  try {
    await eventually('all is read', () => reader.got.length === 100)
    for (const offset of [57, 3, 99, 0]) {
      reader.got.length = 0
      reader.consumer.seek({ topic: of, partition: 0, offset: String(offset) })
      await eventually(`the rest from ${offset}`, () => reader.got.length === 100 - offset)
      expect('first', [String(offset), `v${offset}`], [reader.got[0].offset, text(reader.got[0])])
    }
  } finally {
    await reader.close()
  }
})

await states('a paused partition gives nothing until it is resumed, and the others go on', async () => {
  const of = await topic('pause', 2)
  const reader = await member(name('kafkajs', 'group'), of)
  try {
    reader.consumer.pause([{ topic: of, partitions: [0] }])
    await send(of, [...numbered(5, 0), ...numbered(5, 1)])
    await eventually('five records', () => reader.got.length >= 5)
    expect('partitions', [1, 1, 1, 1, 1], reader.got.map(m => m.partition))
    reader.consumer.resume([{ topic: of, partitions: [0] }])
    await eventually('five more', () => reader.got.length === 10)
    expect('partitions', [0, 0, 0, 0, 0], reader.got.slice(5).map(m => m.partition))
  } finally {
    await reader.close()
  }
})

await states('latest: a new group without fromBeginning reads only what comes from then on', async () => {
  const of = await topic('latest')
  await send(of, numbered(10))
  const reader = await member(name('kafkajs', 'group'), of, { fromBeginning: false })
  try {
    // It looks up where the end is with its first fetch, and says nothing of it.
    await eventually('a record that was written later is read', async () => {
      await send(of, [{ value: 'new' }])
      return reader.got.length > 0
    })
    expect('first', [true, 'new'], [Number(reader.got[0].offset) >= 10, text(reader.got[0])])
  } finally {
    await reader.close()
  }
})

await states('out of range: the group goes back to the beginning', async () => {
  const of = await topic('range')
  await send(of, numbered(10))
  const group = name('kafkajs', 'group')
  await admin.setOffsets({ groupId: group, topic: of, partitions: [{ partition: 0, offset: '1000' }] })
  const reader = await member(group, of)
  try {
    await eventually('all is read', () => reader.got.length === 10)
    expect('first', '0', reader.got[0].offset)
  } finally {
    await reader.close()
  }
})

for (const readUncommitted of [true, false]) {
  await states(`readUncommitted=${readUncommitted} on plain records: the same records, and the high watermark`, async () => {
    const of = await topic('committed')
    await send(of, numbered(50))
    let high
    const reader = await member(name('kafkajs', 'group'), of, {
      readUncommitted,
      run: { eachMessage: null, eachBatch: async ({ batch, resolveOffset }) => { high = batch.highWatermark; batch.messages.forEach(m => { reader.got.push(m); resolveOffset(m.offset) }) } }
    })
    try {
      await eventually('all is read', () => reader.got.length === 50)
      expect('high watermark', '50', high)
    } finally {
      await reader.close()
    }
  })
}

await states('long polling: a record produced while a consumer waits arrives well before maxWaitTimeInMs', async () => {
  const of = await topic('long-poll')
  const reader = await member(name('kafkajs', 'group'), of, { maxWaitTimeInMs: 20_000, sessionTimeout: 60_000 })
  try {
    for (let i = 1; i <= 3; i++) {
      const start = Date.now()
      await send(of, [{ value: `v${i}` }])
      await eventually('it came', () => reader.got.length === i)
      expect('prompt', true, Date.now() - start < 5000)
    }
  } finally {
    await reader.close()
  }
})

await states('a batch larger than every fetch limit is delivered all the same', async () => {
  const of = await topic('tight', 3)
  await send(of, count(3, partition => ({ partition, value: noise(50_000) })))
  expect('partitions', [0, 1, 2], (await read(of, 3, { maxBytesPerPartition: 1, maxBytes: 1 })).map(m => m.partition).sort())
})

await states("offsets of a topic: low, high, by time, and the end for a time after the last", async () => {
  const of = await topic('times', 2, KEPT)
  await send(of, count(30, i => ({ partition: 0, value: `v${i}`, timestamp: String(10_000 + 100 * i) })))
  const sorted = (await admin.fetchTopicOffsets(of)).sort((a, b) => a.partition - b.partition)
  expect('low and high', [['0', '30'], ['0', '0']], sorted.map(p => [p.low, p.high]))
  for (const [time, offset] of [[1, '0'], [10_000, '0'], [10_001, '1'], [10_700, '7'], [12_900, '29'], [12_901, '30']]) {
    const found = (await admin.fetchTopicOffsetsByTimestamp(of, time)).find(p => p.partition === 0)
    expect(`for ${time}`, offset, found.offset)
  }
})

await states('deleted records are gone, -1 deletes all, and beyond the end is refused: OFFSET_OUT_OF_RANGE', async () => {
  const of = await topic('delete')
  await send(of, numbered(20))
  const low = async () => (await admin.fetchTopicOffsets(of))[0].low
  const remove = offset => admin.deleteTopicRecords({ topic: of, partitions: [{ partition: 0, offset: String(offset) }] })
  await remove(6)
  expect('low', '6', await low())
  expect('first that is left', '6', (await read(of, 14))[0].offset)
  await refused('OFFSET_OUT_OF_RANGE', () => remove(21))
  await remove(-1)
  expect('low', '20', await low())
})

await states('topics: created, described, grown, deleted', async () => {
  const of = await topic('topics', 3)
  const partitions = async () => (await admin.fetchTopicMetadata({ topics: [of] })).topics[0].partitions.length
  expect('partitions', 3, await partitions())
  expect('listed', true, (await admin.listTopics()).includes(of))
  await admin.createPartitions({ topicPartitions: [{ topic: of, count: 5 }] })
  await eventually('five partitions', async () => await partitions() === 5)
  await refused('INVALID_PARTITIONS', () => admin.createPartitions({ topicPartitions: [{ topic: of, count: 4 }] }))
  await admin.deleteTopics({ topics: [of] })
  await eventually('it is gone', async () => !(await admin.listTopics()).includes(of))
  await refused('UNKNOWN_TOPIC_OR_PARTITION', () => admin.deleteTopics({ topics: [of] }))
  await refused('UNKNOWN_TOPIC_OR_PARTITION', () => admin.fetchTopicMetadata({ topics: [of] }))
})

await states('bad topics are refused: bad name, too many replicas, bad setting; an existing one is told; validateOnly creates nothing', async () => {
  const of = await topic('exists')
  const create = (topic, more = {}, validateOnly = false) => admin.createTopics({ waitForLeaders: false, validateOnly, topics: [{ topic, ...more }] })
  expect('created again', false, await create(of))
  await refused('INVALID_TOPIC_EXCEPTION', () => create('bad name'))
  await refused('INVALID_REPLICATION_FACTOR', () => create(of + 'rf', { replicationFactor: 4 }))
  await refused('INVALID_PARTITIONS', () => create(of + 'p', { numPartitions: 0 }))
  await refused('INVALID_CONFIG', () => create(of + 'c', { configEntries: [{ name: 'retention.ms', value: 'soon' }] }))
  expect('validated', true, await create(of + 'v', {}, true))
  expect('listed', false, (await admin.listTopics()).includes(of + 'v'))
})

await states('a topic with assigned replicas gets them, and one with unknown brokers is refused: INVALID_REPLICA_ASSIGNMENT', async () => {
  const of = name('kafkajs', 'assigned')
  const { controller } = await admin.describeCluster()
  const create = replicas => admin.createTopics({ waitForLeaders: false, topics: [{ topic: of, numPartitions: -1, replicationFactor: -1, replicaAssignment: [{ partition: 0, replicas: [replicas] }] }] })
  await refused('INVALID_REPLICA_ASSIGNMENT', () => create(controller + 4711))
  await create(controller)
  await eventually('it is there', async () => (await admin.fetchTopicMetadata()).topics.some(t => t.name === of && t.partitions[0]?.replicas[0] === controller))
})

await states('settings: described, replaced as a whole (AlterConfigs); a bad value is refused: INVALID_CONFIG', async () => {
  const of = await topic('settings', 1, { 'retention.ms': '4711' })
  const value = async key => {
    const { resources } = await admin.describeConfigs({ includeSynonyms: false, resources: [{ type: ConfigResourceTypes.TOPIC, name: of, configNames: [key] }] })
    return resources[0].configEntries[0].configValue
  }
  const alter = (name, value) => admin.alterConfigs({ validateOnly: false, resources: [{ type: ConfigResourceTypes.TOPIC, name: of, configEntries: [{ name, value }] }] })
  expect('retention.ms', '4711', await value('retention.ms'))
  expect('max.message.bytes', '1048588', await value('max.message.bytes'))
  await alter('cleanup.policy', 'compact')
  await eventually('what is not named goes back to its default', async () => await value('cleanup.policy') === 'compact' && await value('retention.ms') === '604800000')
  await refused('INVALID_CONFIG', () => alter('retention.ms', 'soon'))
})

await states('the cluster is described: its id, its node, its controller', async () => {
  const { brokers: [broker], controller, clusterId } = await admin.describeCluster()
  expect('address', bootstrap, `${broker.host}:${broker.port}`)
  expect('controller', broker.nodeId, controller)
  expect('length of the id', 22, clusterId.length)
})

await states('no partition is being reassigned', async () => {
  expect('reassignments', [], (await admin.listPartitionReassignments({})).topics)
})

await states('groups: a commit is read back with its metadata, and a member that comes later reads on there', async () => {
  const [of, group] = [await topic('resume', 2), name('kafkajs', 'group')]
  await send(of, numbered(10))
  let reader = await member(group, of, { run: { autoCommit: false } })
  await eventually('all is read', () => reader.got.length === 10)
  await reader.consumer.commitOffsets([{ topic: of, partition: 0, offset: '7', metadata: 'schön ✓' }])
  await reader.close()
  const [{ partitions }] = await admin.fetchOffsets({ groupId: group, topics: [of] })
  expect('the administrator’s view', [{ partition: 0, offset: '7', metadata: 'schön ✓' }, { partition: 1, offset: '-1', metadata: null }],
    partitions.sort((a, b) => a.partition - b.partition).map(p => ({ ...p, metadata: p.metadata || null })))
  reader = await member(group, of)
  try {
    await eventually('the rest is read', () => reader.got.length === 3)
    expect('offsets', ['7', '8', '9'], reader.got.map(m => m.offset))
  } finally {
    await reader.close()
  }
})

await states('groups: what was read is committed when the member leaves', async () => {
  const [of, group] = [await topic('auto'), name('kafkajs', 'group')]
  await send(of, numbered(20))
  const reader = await member(group, of)
  await eventually('all is read', () => reader.got.length === 20)
  await reader.close()
  expect('committed', [{ partition: 0, offset: '20', metadata: '' }], (await admin.fetchOffsets({ groupId: group, topics: [of] }))[0].partitions.map(p => ({ ...p, metadata: p.metadata || '' })))
})

await states('groups: a second member gets half of the partitions, and they are given back when it leaves', async () => {
  const [of, group] = [await topic('shared', 4), name('kafkajs', 'group')]
  const first = await member(group, of)
  let second
  try {
    await eventually('it owns four', () => first.joined.partitions.length === 4)
    second = await member(group, of)
    await eventually('each owns two', () => first.joined.partitions.length === 2 && second.joined.partitions.length === 2)
    expect('shared out', [0, 1, 2, 3], [...first.joined.partitions, ...second.joined.partitions].sort())
    await send(of, count(4, p => numbered(5, p)).flat())
    await eventually('all is read', () => first.got.length + second.got.length >= 20)
    const seen = [...first.got, ...second.got].map(m => `${m.partition}:${m.offset}`)
    expect('everything is read once', [20, 20], [seen.length, new Set(seen).size])
    await second.close()
    second = undefined
    await eventually('it owns four again', () => first.joined.partitions.length === 4)
  } finally {
    await first.close()
    await second?.close()
  }
})

await states('groups: an assignor of the application’s own, with user data, is asked and obeyed', async () => {
  const [of, group] = [await topic('own', 3), name('kafkajs', 'group')]
  const { MemberMetadata, MemberAssignment } = AssignerProtocol
  const own = () => ({
    name: 'LastOnly',
    version: 1,
    assign: async ({ members }) => members.map(({ memberId, memberMetadata }) => ({
      memberId,
      memberAssignment: MemberAssignment.encode({ version: 1, assignment: { [of]: [2] }, userData: MemberMetadata.decode(memberMetadata).userData })
    })),
    protocol: ({ topics }) => ({ name: 'LastOnly', metadata: MemberMetadata.encode({ version: 1, topics, userData: Buffer.from('mine') }) })
  })
  const reader = await member(group, of, { partitionAssigners: [own] })
  try {
    expect('assigned', [2], reader.joined.partitions)
    const { groups: [told] } = await admin.describeGroups([group])
    expect('assignor', 'LastOnly', told.protocol)
    expect('user data', 'mine', MemberMetadata.decode(told.members[0].memberMetadata).userData.toString())
    expect('user data assigned', 'mine', MemberAssignment.decode(told.members[0].memberAssignment).userData.toString())
  } finally {
    await reader.close()
  }
})

await states('groups: describe tells the state and the members; the group is listed; unknown is Dead', async () => {
  const [of, group] = [await topic('describe', 3), name('kafkajs', 'group')]
  const reader = await member(group, of)
  try {
    const { groups: [told] } = await admin.describeGroups([group])
    expect('group', [group, 'Stable', 'consumer', 'RoundRobinAssigner'], [told.groupId, told.state, told.protocolType, told.protocol])
    expect('member', [[reader.joined.id, 'kafkajs', '/127.0.0.1']], told.members.map(m => [m.memberId, m.clientId, m.clientHost]))
    expect('listed', [{ groupId: group, protocolType: 'consumer' }], (await admin.listGroups()).groups.filter(g => g.groupId === group))
  } finally {
    await reader.close()
  }
  await eventually('the group is empty when its member has left', async () => (await admin.describeGroups([group])).groups[0].state === 'Empty')
  expect('state of what nobody knows', 'Dead', (await admin.describeGroups([name('kafkajs', 'nobody')])).groups[0].state)
})

await states('groups: offsets are set and reset while nobody is in the group, and refused while somebody is', async () => {
  const [of, group] = [await topic('set'), name('kafkajs', 'group')]
  await send(of, numbered(10))
  const committed = async () => (await admin.fetchOffsets({ groupId: group, topics: [of] }))[0].partitions[0].offset
  await admin.setOffsets({ groupId: group, topic: of, partitions: [{ partition: 0, offset: '4' }] })
  expect('set', '4', await committed())
  await admin.resetOffsets({ groupId: group, topic: of, earliest: false })
  expect('reset to latest', '-1', await committed())
  await admin.setOffsets({ groupId: group, topic: of, partitions: [{ partition: 0, offset: '4' }] })
  const reader = await member(group, of)
  try {
    const refusal = await admin.setOffsets({ groupId: group, topic: of, partitions: [{ partition: 0, offset: '5' }] }).then(() => 'accepted', why => why.message)
    expect('the refusal', true, /must have no running instances/.test(refusal))
    await eventually('read on', () => reader.got.length === 6)
  } finally {
    await reader.close()
  }
})

await states('groups: a group is deleted with its offsets, but not while it has members (NON_EMPTY_GROUP), nor when it is unknown (GROUP_ID_NOT_FOUND)', async () => {
  const [of, group] = [await topic('delete'), name('kafkajs', 'group')]
  const reader = await member(group, of)
  await refused('NON_EMPTY_GROUP', () => admin.deleteGroups([group]))
  await reader.consumer.commitOffsets([{ topic: of, partition: 0, offset: '0' }])
  await reader.close()
  expect('deleted', [{ groupId: group, errorCode: 0 }], (await admin.deleteGroups([group])).map(({ groupId, errorCode }) => ({ groupId, errorCode })))
  await refused('GROUP_ID_NOT_FOUND', () => admin.deleteGroups([group]))
})

await admin.disconnect()
end()
