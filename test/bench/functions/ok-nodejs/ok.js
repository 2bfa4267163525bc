exports.handler = () => 'ok';
