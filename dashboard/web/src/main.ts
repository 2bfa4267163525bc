import { mount } from 'svelte';
import App from './App.svelte';
import './app.css';

// A file of another version than this one: the server was replaced meanwhile.
window.addEventListener('vite:preloadError', () => location.reload());

mount(App, { target: document.getElementById('app')! });
