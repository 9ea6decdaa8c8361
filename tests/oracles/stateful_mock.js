// A program: stripe-stateful-mock on loopback alone; its own command would listen on every address.
"use strict";

const server = require("stripe-stateful-mock").createExpressApp().listen(0, "127.0.0.1", () => {
  console.log(`http://127.0.0.1:${server.address().port}`);
});
process.stdin.resume().on("end", () => process.exit(0)); // until who started it is gone
