// A member of a group that says what happens to it; groups/crew.py tells what it is called with and what the lines mean.
const { Kafka, logLevel, AssignerProtocol: { MemberAssignment, MemberMetadata } } = require('kafkajs')

const [bootstrap, groupId, name, topics, assignor, sessionMs] = process.argv.slice(2)
const say = (...words) => process.stdout.write(words.join(' ') + '\n')
let generation = -1

// KafkaJS has no assignor that others know. Only topics it is subscribed to itself are shared out when it leads.
const range = ({ cluster }) => ({
  name: assignor,
  version: 1,
  async assign({ members, topics: subscribed }) {
    const assignments = new Map(members.map(({ memberId }) => [memberId, {}]))
    for (const topic of subscribed) {
      const subscribers = members
        .filter(({ memberMetadata }) => MemberMetadata.decode(memberMetadata).topics.includes(topic))
        .map(({ memberId }) => memberId)
        .sort()
      const partitions = cluster.findTopicPartitionMetadata(topic).map(p => p.partitionId).sort((a, b) => a - b)
      const each = Math.floor(partitions.length / subscribers.length)
      const more = partitions.length % subscribers.length
      subscribers.forEach((member, i) => {
        const start = i * each + Math.min(i, more)
        assignments.get(member)[topic] = partitions.slice(start, start + each + (i < more ? 1 : 0))
      })
    }
    return [...assignments].map(([memberId, assignment]) => ({
      memberId,
      memberAssignment: MemberAssignment.encode({ version: 0, assignment }),
    }))
  },
  protocol: ({ topics: subscribed }) => ({ name: assignor, metadata: MemberMetadata.encode({ version: 0, topics: subscribed }) }),
})

// The generation is told to the log only.
const logCreator = () => ({ level, log }) => {
  if (log.message === 'Received assignment' || log.message === 'Received invalid assignment') generation = log.generationId
  if (level <= logLevel.WARN) process.stderr.write(`${log.message} ${log.error || ''}\n`)
}

async function main() {
  const kafka = new Kafka({ clientId: name, brokers: [bootstrap], logLevel: logLevel.DEBUG, logCreator, retry: { retries: 100, maxRetryTime: 2000 } })
  const consumer = kafka.consumer({
    groupId,
    partitionAssigners: [range],
    sessionTimeout: Number(sessionMs),
    heartbeatInterval: 1000,
    metadataMaxAge: 2000,
    maxWaitTimeInMs: 200,
    allowAutoTopicCreation: false,
  })
  consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => {
    const partitions = Object.entries(payload.memberAssignment).flatMap(([topic, some]) => some.map(p => `${topic}:${p}`))
    say('assigned', generation, payload.memberId, partitions.join(',') || '-')
  })
  const begin = async () => {
    await consumer.connect()
    await consumer.subscribe({ topics: topics.split(','), fromBeginning: true })
    await consumer.run({
      autoCommit: false,
      eachBatchAutoResolve: false,
      eachBatch: async ({ batch: { topic, partition, messages }, resolveOffset, heartbeat, isStale, isRunning }) => {
        if (isStale() || !isRunning()) return
        const now = generation
        const last = messages[messages.length - 1].offset
        say('read', now, topic, partition, messages[0].offset, last)
        const offset = (BigInt(last) + 1n).toString()
        try {
          await consumer.commitOffsets([{ topic, partition, offset, metadata: `by ${name}` }])
          say('committed', now, topic, partition, offset)
        } catch (refusal) {
          say('refused', refusal.type || refusal.name)
          throw refusal
        }
        resolveOffset(last)
        await heartbeat()
      },
    })
  }
  // It gives up when it finds no coordinator: the first refusal of a broker that is being ended. Whoever uses it begins again.
  const again = () => begin().catch(() => setTimeout(again, 1000))
  consumer.on(consumer.events.CRASH, ({ payload }) => {
    if (!payload.restart) setTimeout(again, 1000)
  })
  await begin()
  const leave = async () => {
    await consumer.disconnect()
    say('left')
    process.exit(0)
  }
  process.stdin.once('data', leave)
  process.stdin.once('end', leave)
}

main().catch(why => {
  process.stderr.write(`${why.stack}\n`)
  process.exit(1)
})
