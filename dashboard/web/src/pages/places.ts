import type { Place } from '../lib/route';

/** words name the places in the header. */
export const words: Record<Place, string> = { mappings: 'Mappings', dealer: 'Dealer', letters: 'Dead letters', access: 'Access' };
