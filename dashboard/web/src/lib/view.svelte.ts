// What the visitor chose: where they are, and how it looks.
import { parse, type Route } from './route';

export type Theme = 'system' | 'light' | 'dark';

const key = 'myelin.theme';

class View {
  route: Route = $state.raw(parse(location.hash));
  theme: Theme = $state((localStorage.getItem(key) as Theme | null) ?? 'system');
  dark = $state(false);

  /** read takes the place from the address again. */
  read(): void {
    this.route = parse(location.hash);
  }

  constructor() {
    const system = matchMedia('(prefers-color-scheme: dark)');
    const look = () => {
      this.dark = this.theme === 'dark' || (this.theme === 'system' && system.matches);
      document.documentElement.dataset.theme = this.dark ? 'dark' : 'light';
    };
    system.addEventListener('change', look);
    addEventListener('hashchange', () => this.read());
    look();
    this.#look = look;
  }
  #look: () => void;

  choose(theme: Theme): void {
    this.theme = theme;
    localStorage.setItem(key, theme);
    this.#look();
  }

  turn(): void {
    this.choose(this.dark ? 'light' : 'dark');
  }
}

export const view = new View();

export function go(hash: string): void {
  location.hash = hash;
}
