// BullMQ: `on_bullmq.js fill JOB COUNT`, `on_bullmq.js work SLOTS`. The jobs are those of contenders/jobs.py.
"use strict";
const fs = require("node:fs");
const http = require("node:http");
const { Queue, Worker } = require("bullmq");

const connection = { path: process.env.BENCH_REDIS, maxRetriesPerRequest: null };
const agent = new http.Agent({ keepAlive: true });
const notes = fs.openSync(process.env.BENCH_NOTES, "a");
const note = Buffer.alloc(8);

function ended() {
  note.writeBigInt64LE(process.hrtime.bigint()); // the clock of Python's time.monotonic_ns()
  fs.writeSync(notes, note);
  return 1;
}

const jobs = {
  empty: async () => ended(),
  call: () =>
    new Promise((resolve, reject) => {
      http
        .get(process.env.BENCH_URL, { agent }, (answer) => {
          answer.resume();
          answer.on("end", () => resolve(ended()));
        })
        .on("error", reject);
    }),
  sleep: () => new Promise((resolve) => setTimeout(() => resolve(ended()), 1000)),
};

async function fill(job, count) {
  const queue = new Queue("bench", { connection });
  for (let begin = 0; begin < count; begin += 500) {
    const size = Math.min(500, count - begin);
    await queue.addBulk(Array.from({ length: size }, () => ({ name: job, data: {} })));
  }
  await queue.close();
}

const [verb, ...rest] = process.argv.slice(2);
if (verb === "fill") {
  fill(rest[0], Number(rest[1])).then(() => process.exit(0));
} else {
  new Worker("bench", (job) => jobs[job.name](), { connection, concurrency: Number(rest[0]) });
}
