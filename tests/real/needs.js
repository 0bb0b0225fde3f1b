// Names the files that this Node reads to start beside its libraries, one a line: Debian keeps some of Node's own modules
// outside the program, which knows them by their paths.
'use strict';
const fs = require('fs');

const named = new Set();
const mapped = fs.readFileSync('/proc/self/maps', 'utf8').matchAll(/\/\S*node\S*$/gm);
for (const object of new Set([...mapped].map(([path]) => path))) {
  const paths = fs.readFileSync(object, 'latin1').matchAll(/\/usr\/share\/nodejs\/[\w./-]+\.js/g);
  [...paths].forEach(([path]) => named.add(path));
}
[...named].filter((path) => fs.existsSync(path)).forEach((path) => console.log(path));
